"""The pages of docs/ whose outputs are real: each ```` ```console ```` block is carried out, top to bottom, and its output is what the
page shows.

    python -m tests.docs             tells which pages differ from what is printed now
    python -m tests.docs --write     writes them anew (all, or those named: `commands start`)

To show another command, write it into a block (`$ dorkyctl …`, without its output) and run the second. In a block:

    $ command          carried out by Ana in her home; `dorkyctl` by the code of this clone, anything else by bash
    ben$ command       by another person of the page, on a machine of their own
    [exit 4]           what the command ended with, where that is not 0

An HTML comment that begins with `run:` holds such lines that are carried out and not shown (they must end with 0; with `?` before the
prompt, with anything; with `+` they are repeated until they do). `<!-- with: s3 gcs -->` at the top of a page starts stores: `s3://acme-artifacts` and
`gs://acme-artifacts` are then buckets in them.

`pages` reads and writes pages, `world` has the persons and carries out, `stable` makes of what differs from run to run (times, ids,
places) what does not.
"""
