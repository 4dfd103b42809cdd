"""What a run trains and on what: pictures, cached features, phases, the folder it leaves."""
