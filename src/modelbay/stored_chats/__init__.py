"""Conversations with models for the command line and the app: questions, files, costs and storage."""
