// Heartbeats and high-water marks. The verifier runs on every holder, on bytes from anybody.
#include <algorithm>
#include <cstdlib>

#include "objstore/heartbeat.hpp"
#include "objstore/high_water.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace objstore;
    const base::ByteView input{data, size};
    const auto same = [&](const base::Bytes& bytes) {
        if (!std::equal(bytes.begin(), bytes.end(), input.begin(), input.end())) std::abort();
    };
    if (const auto heartbeat = Heartbeat::decode(input)) {
        same(heartbeat->encode());  // one value, one encoding: votes are for a hash of it
        (void)verify_heartbeat(heartbeat->body.aguid, input);
        (void)open_pointers(EpochKeys{0, base::Key{}}, heartbeat->body);
    }
    if (const auto body = HeartbeatBody::decode(input)) same(body->encode());
    if (verify_heartbeat(base::Guid{}, input)) std::abort();
    if (const auto mark = Mark::decode(base::Guid{}, input)) same(mark->encode(base::Guid{}));
    return 0;
}
