// Whatever parses comes out the same when it is written again.
#include <cstdlib>

#include "foreign_message.hpp"
#include "wire/codec.hpp"

namespace {

template <class T>
void must_be(const T& holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace tapestry;
    const base::ByteView bytes{data, size};
    if (const auto announcement = Announcement::decode(base::to_bytes(bytes))) {
        must_be(announcement->size() > 0 && announcement->size() <= kMaxObjects);
        (void)announcement->verify(base::Guid{});
    }
    if (const auto parcels = decode_publish(foreign_message(bytes))) {
        const auto again = decode_publish(encode(*parcels));
        must_be(again && again->size() == parcels->size());
    }
    if (const auto find = decode_find(bytes)) must_be(decode_find(encode(*find, {}).header));
    if (const auto found = decode_found(bytes)) must_be(decode_found(encode(*found).header));
    if (const auto deliver = decode_deliver(bytes)) must_be(decode_deliver(encode(*deliver, {}).header));
    if (const auto delivered = decode_delivered(foreign_message(bytes))) must_be(decode_delivered(encode(*delivered)));
    if (const auto landings = decode_arrived(bytes)) must_be(decode_arrived(encode(*landings).header));
    if (const auto born = decode_hand_over(bytes)) must_be(decode_hand_over(encode_hand_over(*born).header));
    if (const auto fresh = decode_handed_over(bytes)) must_be(decode_handed_over(encode_handed_over(*fresh).header));
    if (const auto object = decode_neighbour_query(bytes))
        must_be(decode_neighbour_query(encode_neighbour_query(*object).header));
    return 0;
}
