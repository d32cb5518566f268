"""Table of the 232 species of the Netherlands, and the values of `species=` and `data.pool=`."""
