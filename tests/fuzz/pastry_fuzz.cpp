// Every message of Pastry: foreign bytes decode to an error or to a value that encodes and decodes to itself.
//
// The first byte is the verb, the rest the header.
#include <cstdint>
#include <cstdlib>

#include "../../pastry/src/codec.hpp"

namespace {

void must(bool holds) {
    if (!holds) std::abort();
}

base::Message message(std::uint8_t verb, base::ByteView header) {
    return {base::Service::pastry, verb, base::to_bytes(header)};
}

void notices(std::uint8_t verb, base::ByteView header) {
    const auto notice = pastry::decode_notice(message(verb, header));
    if (!notice) return;
    const auto once = pastry::encode(*notice);
    const auto again = pastry::decode_notice(once);
    must(again.has_value());
    must(pastry::encode(*again).header == once.header);
}

void lookups(base::ByteView header) {
    if (const auto lookup = pastry::decode_lookup(header)) {
        const auto again = pastry::decode_lookup(pastry::encode(*lookup).header);
        must(again.has_value() && *again == *lookup);
    }
    if (const auto reply = pastry::decode_lookup_reply(header)) {
        const auto again = pastry::decode_lookup_reply(pastry::encode(*reply).header);
        must(again.has_value() && *again == *reply);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const base::ByteView header{data + 1, size - 1};
    notices(data[0], header);
    lookups(header);
    return 0;
}
