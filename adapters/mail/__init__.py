"""For offices that have only an official mailbox: documents go out as mails, edXML files come in as mails.

A mail is not a document-management system: 01 says that the office's mail server has taken the mail, 03 and 02 are
what a clerk answers on the page behind the mail's one-time link. Everything durable is in the agency's own database.
"""
