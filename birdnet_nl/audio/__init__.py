"""Audio front end: from a sound file to one cached log-mel array per recording."""
