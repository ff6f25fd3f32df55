"""Parser stages that both paths share: from Ethernet to the end of the TCP or UDP header."""
