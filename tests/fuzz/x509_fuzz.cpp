#include <algorithm>
#include <cstdlib>

#include "base/host/tls_identity.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const base::ByteView input{data, size};
    const auto identity = base::host::decode_x509(input);
    if (!identity) return 0;
    const auto member = base::host::check_member(*identity, {}, 0);
    if (member) std::abort();  // nobody signs for the zero network
    if (!identity->certificate) return 0;
    // The extension's bytes are the certificate's one encoding: they must be in the input as they stand.
    const auto bytes = identity->certificate->encode();
    if (std::ranges::search(input, bytes).empty()) std::abort();
    return 0;
}
