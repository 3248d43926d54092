"""RF: resonators, a shift of Q, and answers that do not exist."""
