add_suite(host LABEL unit LINK base_host OpenSSL::SSL OpenSSL::Crypto)
