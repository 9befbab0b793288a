add_suite(host LABEL unit LINK base_host OpenSSL::SSL OpenSSL::Crypto)
# The parts that have no public face (engine, refusals, dialling) are tested, too.
target_include_directories(host_test PRIVATE ${CMAKE_SOURCE_DIR}/base/host/src)
