"""What an audit looks at besides copies, and how it is told: text, table, page."""
