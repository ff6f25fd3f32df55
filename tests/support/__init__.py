"""What tests of the model, the card and the host share: frames, networks, pcap files, tshark, Linux's vectors."""
