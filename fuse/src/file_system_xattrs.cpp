// Extended attributes: namespaces, access control lists, and what Pelago itself tells in user.pelago.*.
#include <algorithm>

#include "file_system_state.hpp"

namespace fusefs {

namespace {

constexpr std::string_view kOwn = "user.pelago.";
constexpr std::size_t kMaxValueBytes = 64U << 10U;  // as the kernel's own limit
constexpr std::size_t kMaxListBytes = 64U << 10U;

bool is_acl(std::string_view name) { return name == kAccessAcl || name == kDefaultAcl; }

/// user., trusted., security. with something behind; and the two lists.
base::Result<void> check_name(std::string_view name) {
    if (name.size() > objstore::kMaxXattrNameBytes) return posix(std::errc::result_out_of_range);
    if (is_acl(name)) return base::ok();
    for (const std::string_view space : {"user.", "trusted.", "security."}) {
        if (!name.starts_with(space)) continue;
        if (name.size() == space.size()) return posix(std::errc::invalid_argument);
        return base::ok();
    }
    return posix(std::errc::operation_not_supported);
}

objstore::XattrMode xattr_mode(SetXattrFlag flag) {
    switch (flag) {
        case SetXattrFlag::any: return objstore::XattrMode::set;
        case SetXattrFlag::create: return objstore::XattrMode::create;
        case SetXattrFlag::replace: return objstore::XattrMode::replace;
    }
    return objstore::XattrMode::set;
}

bool is_absent(const base::Error& error) { return error == std::make_error_condition(std::errc::no_message_available); }

}  // namespace

base::Task<base::Result<std::optional<Acl>>> FileSystem::State::read_acl(objstore::InodeNumber inode,
                                                                         std::string_view name) {
    std::string wanted{name};
    const auto bytes = co_await tree.get_xattr(inode, std::move(wanted));
    if (!bytes) {
        if (is_absent(bytes.error())) co_return std::optional<Acl>{};
        co_return bytes.error();
    }
    BASE_CO_TRY(auto acl, Acl::parse(*bytes));
    co_return std::optional<Acl>{std::move(acl)};
}

/// The mode follows the list; a list that says no more than a mode is kept as one.
base::Task<base::Result<void>> FileSystem::State::set_access_acl(Caller caller, objstore::InodeNumber inode,
                                                                 base::Bytes value) {
    BASE_CO_TRY(const auto acl, Acl::parse(value));
    BASE_CO_TRY(const auto before, co_await tree.get(inode));
    objstore::AttributeChange change;
    change.mode = acl.mode(before.mode);
    if (caller.uid != 0 && caller.gid != before.gid) *change.mode &= ~static_cast<std::uint32_t>(S_ISGID);
    std::string name{kAccessAcl};
    if (!acl.is_plain()) {
        BASE_CO_CHECK(co_await tree.set_xattr(inode, std::move(name), std::move(value), objstore::XattrMode::set));
    } else if (const auto gone = co_await tree.remove_xattr(inode, std::move(name));
               !gone && !is_absent(gone.error())) {
        co_return gone.error();
    }
    BASE_CO_CHECK(co_await tree.set_attributes(inode, std::move(change)));
    co_return base::ok();
}

FileSystem::Reply<base::Bytes> FileSystem::get_xattr(NodeId node, std::string name) {
    State& state = *state_;
    if (name.starts_with(kOwn)) {
        const auto what = std::string_view{name}.substr(kOwn.size());
        if (node == kRootNode && what == "volume") co_return base::to_bytes(state.config.volume);
        if (node == kRootNode && what == "pid") co_return base::to_bytes(std::to_string(state.config.pid));
        if (node != kRootNode || what != "sync") co_return posix(std::errc::no_message_available);
        BASE_CO_CHECK(co_await state.commit());
        co_return base::Bytes{};
    }
    BASE_CO_CHECK(check_name(name));
    const bool is_label = name == "security.selinux";
    auto value = co_await state.tree.get_xattr(state.inode(node), std::move(name));
    // A kernel that has labels answers this by itself. Told that there are none here, `ls -l` asks no more.
    if (is_label && !value && is_absent(value.error())) co_return posix(std::errc::operation_not_supported);
    co_return value;
}

FileSystem::Reply<std::vector<std::string>> FileSystem::list_xattrs(Caller caller, NodeId node) {
    BASE_CO_TRY(auto names, co_await state_->tree.list_xattrs(state_->inode(node)));
    if (caller.uid != 0) std::erase_if(names, [](const std::string& name) { return name.starts_with("trusted."); });
    co_return names;
}

FileSystem::Reply<void> FileSystem::set_xattr(Caller caller, NodeId node, std::string name, base::Bytes value,
                                              SetXattrFlag flag) {
    State& state = *state_;
    const auto inode = state.inode(node);
    if (name.starts_with(kOwn)) co_return posix(std::errc::operation_not_permitted);
    BASE_CO_CHECK(check_name(name));
    if (value.size() > kMaxValueBytes) co_return posix(std::errc::argument_list_too_long);
    if (name == kAccessAcl) {
        BASE_CO_CHECK(co_await state.set_access_acl(caller, inode, std::move(value)));
        co_return co_await state.settle();
    }
    if (name == kDefaultAcl) {
        BASE_CO_CHECK(Acl::parse(value));
        BASE_CO_TRY(const auto what, co_await state.tree.get(inode));
        if (what.type != base::FileType::directory) co_return posix(std::errc::permission_denied);
    }
    BASE_CO_TRY(auto names, co_await state.tree.list_xattrs(inode));
    std::size_t listed = name.size() + 1;
    for (const auto& each : names) listed += each == name ? 0 : each.size() + 1;
    if (listed > kMaxListBytes) co_return posix(std::errc::no_space_on_device);
    BASE_CO_CHECK(co_await state.tree.set_xattr(inode, std::move(name), std::move(value), xattr_mode(flag)));
    co_return co_await state.settle();
}

FileSystem::Reply<void> FileSystem::remove_xattr(NodeId node, std::string name) {
    State& state = *state_;
    if (name.starts_with(kOwn)) co_return posix(std::errc::operation_not_permitted);
    BASE_CO_CHECK(check_name(name));
    BASE_CO_CHECK(co_await state.tree.remove_xattr(state.inode(node), std::move(name)));
    co_return co_await state.settle();
}

}  // namespace fusefs
