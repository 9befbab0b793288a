#include <algorithm>
#include <cstdlib>

#include "base/host/frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace base::host;
    const base::ByteView input{data, size};
    const auto same = [input](const base::Bytes& again) {
        if (!std::ranges::equal(again, input)) std::abort();
    };
    if (const auto head = FrameHeader::decode(input)) same(head->encode());
    if (const auto hello = Hello::decode(input)) {
        // A later version may have appended fields that we drop.
        if (hello->newest <= kNewestProtocol) same(hello->encode());
        (void)hello->agree();
    }
    if (const auto error = decode_error(input)) {
        const auto again = decode_error(encode_error(*error));
        if (!again || !(*again == *error)) std::abort();
    }
    return 0;
}
