"""Keys: where they stand, whom they may go to, and how they stay out of sight."""
