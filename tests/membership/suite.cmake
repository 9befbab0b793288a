add_suite(membership LABEL sim LINK base base_sim)
