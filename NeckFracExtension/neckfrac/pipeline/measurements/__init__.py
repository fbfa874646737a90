"""What a radiologist measures on a neck CT, from the masks and the CT's own bone edge."""
