"""Widgets of screens and dialogs. They do not depend on their use."""
