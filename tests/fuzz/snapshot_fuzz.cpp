// Snapshot records, as a writer with the keys may have made them.
#include <cstdlib>

#include "objstore/snapshot.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace objstore;
    Opaque record;
    record.bytes.assign(data, data + size);
    record.blocks.push_back(std::make_shared<const BlockRef>());
    const auto snapshot = Snapshot::decode(record);
    if (!snapshot) return 0;
    if (snapshot->encode() != record) std::abort();  // its id is a hash of the encoding
    (void)find_snapshot({&*snapshot, 1}, "latest", {.hosts = {snapshot->host}});
    if (!find_snapshot({&*snapshot, 1}, snapshot->id().hex())) std::abort();
    return 0;
}
