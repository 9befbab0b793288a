// What a holder signs: "I have these". Bytes: docs/formats/tapestry.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/transport.hpp"
#include "tapestry/identity.hpp"

namespace tapestry {

constexpr std::size_t kMaxObjects = 512;  ///< of one announcement
constexpr unsigned kMaxRoots = 8;
constexpr std::chrono::seconds kMaxLease{86'400};

/// The key of `object` for the root of this number; the object itself for root 0.
[[nodiscard]] base::Guid root_key(const base::Guid& object, unsigned root);

/// An announcement as it travels: what was signed, and a view of its fields. Immutable, cheap to copy.
class Announcement {
  public:
    struct Terms {
        std::string endpoint;  ///< of the publisher
        std::uint8_t root = 0;
        std::uint64_t stamp = 0;       ///< rises with every announcement of a publisher
        std::chrono::seconds lease{};  ///< 0: withdrawn
    };

    /// `objects`: 1 to kMaxObjects, sorted by root_key(object, terms.root), no duplicates.
    [[nodiscard]] static Announcement sign(const Identity& identity, Terms terms, std::span<const base::Guid> objects);
    /// Checks layout, limits and order, not the signature. Errc::bad_format; Errc::unsupported for a later version.
    [[nodiscard]] static base::Result<Announcement> decode(base::SharedBytes sealed);
    /// Errc::bad_signature; Errc::not_a_member if it is of another network.
    [[nodiscard]] base::Result<void> verify(const base::Guid& network) const;

    /// The same with bytes of its own: what is kept holds on to no message that it came in.
    [[nodiscard]] Announcement detached() const;

    [[nodiscard]] const base::SharedBytes& sealed() const { return sealed_; }
    [[nodiscard]] const base::Address& publisher() const { return publisher_; }
    [[nodiscard]] unsigned root() const { return root_; }
    [[nodiscard]] std::uint64_t stamp() const { return stamp_; }
    [[nodiscard]] std::chrono::seconds lease() const { return lease_; }
    [[nodiscard]] bool withdrawn() const { return lease_.count() == 0; }

    [[nodiscard]] std::size_t size() const { return count_; }
    /// Requires: index < size().
    [[nodiscard]] base::Guid object(std::size_t index) const;
    [[nodiscard]] base::Guid key(std::size_t index) const { return root_key(object(index), root_); }

  private:
    Announcement() = default;

    base::SharedBytes sealed_;
    base::Address publisher_;
    base::PublicKey key_{};
    base::Guid network_;
    std::uint8_t root_ = 0;
    std::uint64_t stamp_ = 0;
    std::chrono::seconds lease_{};
    std::size_t count_ = 0;
    std::size_t objects_at_ = 0;  // where in sealed_
};

}  // namespace tapestry
