// POSIX access control lists (POSIX 1003.1e draft 17) in the form that the kernel keeps them in extended attributes.
//
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace fusefs {

constexpr std::string_view kAccessAcl = "system.posix_acl_access";
constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

struct AclEntry {
    enum Tag : std::uint16_t { owner = 1, user = 2, group_owner = 4, group = 8, mask = 16, others = 32 };
    std::uint16_t tag = 0;
    std::uint16_t permissions = 0;  ///< rwx
    std::uint32_t id = UINT32_MAX;  ///< of user and group
};

class Acl {
  public:
    /// invalid_argument unless it is one that the kernel would make: sorted by tag, each id once, and a mask where
    /// users or groups are named.
    [[nodiscard]] static base::Result<Acl> parse(base::ByteView bytes);
    [[nodiscard]] base::Bytes encode() const;

    /// Whether mode bits say as much: nobody is named and there is no mask.
    [[nodiscard]] bool is_plain() const;
    /// `mode` with the nine permission bits that stat shows for this list.
    [[nodiscard]] std::uint32_t mode(std::uint32_t mode) const;
    /// What chmod makes of it.
    void change_mode(std::uint32_t mode);
    /// What a new inode gets from its directory's default list: reduced by the mode that it is made with, which
    /// follows. Returns that mode.
    std::uint32_t inherit(std::uint32_t mode);

  private:
    [[nodiscard]] const AclEntry* find(std::uint16_t tag) const;
    [[nodiscard]] AclEntry* find(std::uint16_t tag);
    /// Mask, or where there is none the owning group: what the group bits of the mode are.
    [[nodiscard]] AclEntry* group_class();

    std::vector<AclEntry> entries_;
};

}  // namespace fusefs
