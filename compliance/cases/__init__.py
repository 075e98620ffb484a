"""Cases: what waits for a person, who decides it, and what that covers."""
