// In these clusters records are heartbeats.
#include "objstore/heartbeat.hpp"
#include "past/cluster.hpp"

namespace past::test {

base::Result<std::uint64_t> verify_record(const base::Guid& key, base::ByteView body) {
    return objstore::verify_heartbeat(key, body);
}

}  // namespace past::test
