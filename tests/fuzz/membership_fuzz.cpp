#include <cstdlib>

#include "base/membership.hpp"
#include "base/membership_service.hpp"

namespace {

template <class T>
void check(base::ByteView input) {
    const auto value = T::decode(input);
    if (!value) return;
    // One value has one encoding, or a signature over it could be moved to other bytes.
    const auto again = value->encode();
    if (!std::equal(again.begin(), again.end(), input.begin(), input.end())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const base::ByteView input{data, size};
    check<base::Certificate>(input);
    check<base::Roster>(input);
    if (const auto policy = base::Policy::decode(input);
        policy && base::Policy::decode(policy->encode())->body() != policy->body()) {
        std::abort();
    }
    if (const auto token = base::Token::parse(base::as_text(input)); token && !base::Token::parse(token->text())) {
        std::abort();
    }
    (void)base::JoinRequest::decode(input);
    (void)base::decode_admission(input);
    return 0;
}
