"""SMART on FHIR, server side: registered apps, people, consent, tokens with scopes.

smart = surface.Authorization(store, journal, repository, tokens, settings, base_url)
app = create_app(repository, journal, smart.tokens, ..., authorization=smart)

Nothing is imported here: every command opens the store and its tables (`records`), few of them need the rest.
"""
