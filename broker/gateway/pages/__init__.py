"""The pages on which auditors find, see and check, and operators act. Server-rendered, Vietnamese first.

Reads through `broker.audit` and `broker.evidence`, acts through `broker.interventions` and `broker.dispatch`; decides
nothing but who may see which page.
"""
