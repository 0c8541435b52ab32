"""The DVC stages around the maskgit library, one thin module each, and what they share."""
