"""The report's charts, each registered with its title, section and caption."""
