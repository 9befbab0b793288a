#include "announcing/announcement.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/membership.hpp"

namespace tapestry {

using base::Errc;
using base::Guid;
using base::Result;

namespace {

constexpr const char* kDomain = "pelago tapestry announcement";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSignatureBytes = std::tuple_size_v<base::Signature>;

}  // namespace

Guid root_key(const Guid& object, unsigned root) {
    if (root == 0) return object;
    const std::array<std::uint8_t, 1> number{static_cast<std::uint8_t>(root)};
    return base::sha256({base::as_bytes("pelago tapestry root"), object.view(), number});
}

Announcement Announcement::sign(const Identity& identity, Terms terms, std::span<const Guid> objects) {
    base::Writer out;
    out.u8(kVersion).guid(identity.network).raw(identity.key.public_key()).raw(identity.salt).text(terms.endpoint);
    out.u8(terms.root).u64(terms.stamp).u32(static_cast<std::uint32_t>(terms.lease.count()));
    out.u16(static_cast<std::uint16_t>(objects.size()));
    Announcement made;
    made.objects_at_ = out.size();
    for (const auto& object : objects) out.guid(object);
    out.raw(identity.key.sign(kDomain, out.view()));
    made.sealed_ = out.take();
    made.publisher_ = {base::node_id(identity.key.public_key(), identity.salt), std::move(terms.endpoint)};
    made.key_ = identity.key.public_key();
    made.network_ = identity.network;
    made.root_ = terms.root;
    made.stamp_ = terms.stamp;
    made.lease_ = terms.lease;
    made.count_ = objects.size();
    return made;
}

Result<Announcement> Announcement::decode(base::SharedBytes sealed) {
    Announcement made;
    base::Reader in{sealed.view()};
    if (in.u8() != kVersion) return in.ok() ? Errc::unsupported : Errc::bad_format;
    made.network_ = in.guid();
    made.key_ = in.array<32>();
    const base::Key salt = in.array<32>();
    made.publisher_ = {base::node_id(made.key_, salt), in.text(base::kMaxEndpointBytes)};
    made.root_ = in.u8();
    made.stamp_ = in.u64();
    made.lease_ = std::chrono::seconds{in.u32()};
    made.count_ = in.u16();
    if (made.root_ >= kMaxRoots || made.lease_ > kMaxLease || made.count_ == 0 || made.count_ > kMaxObjects) in.fail();
    if (!in.fits(made.count_, Guid::kBytes)) return Errc::bad_format;
    made.objects_at_ = sealed.size() - in.remaining();
    (void)in.raw(made.count_ * Guid::kBytes);
    (void)in.raw(kSignatureBytes);
    if (!in.complete()) return Errc::bad_format;
    made.sealed_ = std::move(sealed);
    auto before = made.key(0);
    for (std::size_t i = 1; i < made.count_; ++i) {
        auto key = made.key(i);
        if (key <= before) return Errc::bad_format;
        before = key;
    }
    return made;
}

Result<void> Announcement::verify(const Guid& network) const {
    if (network_ != network) return Errc::not_a_member;
    const auto all = sealed_.view();
    const auto body = all.first(all.size() - kSignatureBytes);
    base::Signature signature{};
    std::ranges::copy(all.last(kSignatureBytes), signature.begin());
    if (!base::verify_signature(key_, kDomain, body, signature)) return Errc::bad_signature;
    return base::ok();
}

Announcement Announcement::detached() const {
    auto copy = *this;
    copy.sealed_ = base::to_bytes(sealed_.view());
    return copy;
}

Guid Announcement::object(std::size_t index) const {
    return *Guid::from_bytes(sealed_.view().subspan(objects_at_ + index * Guid::kBytes, Guid::kBytes));
}

}  // namespace tapestry
