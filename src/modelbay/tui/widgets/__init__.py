"""What screens and dialogs are made of. None of them knows what it is used for."""
