"""Named conversations, and what each protocol's provider is sent for them.

Every body here was read against the protocol's own rules and reference/translation.md; renew one only after the same.
"""
