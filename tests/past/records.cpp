// Records of the plainest form: what PAST keeps of a volume is for the layer above to know. (tests/collect has that.)
#include "base/codec.hpp"
#include "cluster.hpp"

namespace past::test {

using base::Guid;
using base::Result;

Record make_record(std::uint64_t sequence, std::string_view text) {
    base::Writer out;
    out.u64(sequence).text(text);
    return {sequence, out.take()};
}

std::size_t& records_verified() {
    static std::size_t count = 0;
    return count;
}

Result<std::uint64_t> verify_record(const Guid&, base::ByteView body) {
    ++records_verified();
    base::Reader in{body};
    const auto sequence = in.u64();
    (void)in.text(1000);
    if (!in.complete() || sequence == 0) return Errc::bad_record;
    return sequence;
}

}  // namespace past::test
