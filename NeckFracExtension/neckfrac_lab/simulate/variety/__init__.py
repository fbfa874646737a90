"""What makes a neck unlike the textbook: age, wear, fusion, clefts, ribs."""
