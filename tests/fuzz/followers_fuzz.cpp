// Every message of followers: foreign bytes decode to an error or to a value that encodes and decodes to itself.
#include <cstdlib>

#include "foreign_message.hpp"
#include "wire/codec_followers.hpp"

namespace {

template <class T>
void again(const base::Message& message, base::Result<T> (*decode)(const base::Message&)) {
    const auto value = decode(message);
    if (!value) return;
    base::Message once;
    if constexpr (requires { tapestry::encode(*value, message.payload); }) {
        once = tapestry::encode(*value, message.payload);
    } else {
        once = tapestry::encode(*value);
    }
    const auto twice = decode(once);
    if (!twice || !(*twice == *value)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace tapestry;
    if (size < 2) return 0;
    const auto message = foreign_message({data, size});
    again<Look>(message, decode_look);
    again<View>(message, decode_view);
    again<Attach>(message, decode_attach);
    again<AttachReply>(message, decode_attach_reply);
    again<Digest>(message, decode_digest);
    again<Digested>(message, decode_digested);
    again<Push>(message, decode_push);
    again<Pushed>(message, decode_pushed);
    again<Leave>(message, decode_leave);
    return 0;
}
