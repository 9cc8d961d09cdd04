"""The folder adapter: an office takes part by files alone. `lienthong-agency watch FOLDER`.

    outbox/    where clerks and programs drop files; what is taken disappears from here
    sent/      a folder for each thing sent, with its id and its state as text and JSON
    refused/   a folder for each thing not sent, with the reason in Vietnamese and English
    inbox/     a folder for each document that came; below it statuses/ and notices/

Everything moves by renaming a whole folder inside one file system, and what is sent is remembered in the agency's
database in the transaction that puts it into the agency's outbox: `kill -9` at any line neither loses nor doubles.
Follow a file: looking → claiming → sending; a document that came: receiving; what is heard of one's own: hearing.
`names`, `plain_yaml`, `sheet`, `drops` and `texts` are pure.
"""
