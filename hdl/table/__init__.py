"""Tables that the data path looks things up in, behind stream interfaces."""
