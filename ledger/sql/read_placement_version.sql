-- Another number after any change of a placement.
SELECT v.version FROM placement_version AS v
