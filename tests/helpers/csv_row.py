"""A row of GEM/viggo's CSV files under their header, and what it is read as."""

HEADER = b"gem_id,mr,ref\r\n"
ROW = b'one,"inform(name[Doom], genres[shooter, action])","Doom, a ""shooter""."\r\n'
READ = {
    "id": "one",
    "sentence": 'Doom, a "shooter".',
    "meaning_representation": "inform(name[Doom], genres[shooter, action])",
}
