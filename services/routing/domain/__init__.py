"""The decisions of routing, pure: which territory takes a record (match), which rep gets it (pick), what that changes (decide)."""
