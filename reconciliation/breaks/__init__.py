"""What people see and decide: breaks and matches, as they are and as they were."""
