"""The experiments that the papers' claims are judged on: networks and images in, rows of the measurement table out."""
