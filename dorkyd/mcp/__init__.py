"""What `dorkyctl mcp` serves: a project's files as tools and resources of the Model Context Protocol, over standard input and output.

It is a client of the daemon like any other, and may do less than a person: `scope` says which projects it sees and what it
never shows, `contents` makes of bytes what is handed out, `tools` does what is asked, `server` speaks the protocol. Whoever calls
is a program that was told what to do by text it read, perhaps by text in these very files. So nothing here replaces
what the caller has not named by its version, and no value of a secret leaves unless the person who started it said so.
"""
