"""What the tasks of ``toxitrace explore`` do: files in, files out, and a report of what became of the rows."""
