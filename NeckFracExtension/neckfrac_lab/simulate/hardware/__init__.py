"""What is implanted, worn or swallowed: plates and screws, tubes, leads, collars."""
