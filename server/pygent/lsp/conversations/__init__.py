"""Conversation documents (PROTOCOL section 7): the whole agent in a Markdown buffer of any editor."""
