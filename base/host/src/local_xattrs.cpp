#include "local_xattrs.hpp"

#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "posix_io.hpp"

namespace base::host {

namespace {

constexpr std::size_t kMaxValueBytes = 64U << 10U;  // XATTR_SIZE_MAX; the list is bounded likewise

std::vector<std::string> split_names(std::string_view list) {
    std::vector<std::string> names;
    while (!list.empty()) {
        const auto end = list.find('\0');
        names.emplace_back(list.substr(0, end));
        list.remove_prefix(end == list.npos ? list.size() : end + 1);
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

XattrTarget::XattrTarget(int descriptor, std::string place, std::string path)
    : descriptor_{descriptor}, place_{std::move(place)}, path_{std::move(path)} {}

XattrTarget XattrTarget::of_descriptor(int descriptor, std::string path) { return {descriptor, {}, std::move(path)}; }

XattrTarget XattrTarget::of_entry(int directory, std::string_view name, std::string path) {
    return {-1, "/proc/self/fd/" + std::to_string(directory) + "/" + std::string{name}, std::move(path)};
}

ssize_t XattrTarget::list_into(char* out, std::size_t size) const {
    return descriptor_ >= 0 ? ::flistxattr(descriptor_, out, size) : ::llistxattr(place_.c_str(), out, size);
}

ssize_t XattrTarget::get_into(const char* name, std::uint8_t* out, std::size_t size) const {
    return descriptor_ >= 0 ? ::fgetxattr(descriptor_, name, out, size) : ::lgetxattr(place_.c_str(), name, out, size);
}

Result<std::vector<Xattr>> XattrTarget::read() const {
    // Most files have none: one call on a small buffer answers that. Sizes may grow between two calls, hence the
    // largest buffer the kernel allows instead of asking for the size first.
    std::array<char, 1024> few{};
    std::string many;
    std::string_view list;
    auto length = list_into(few.data(), few.size());
    if (length >= 0) {
        list = {few.data(), static_cast<std::size_t>(length)};
    } else if (errno == ERANGE) {
        many.resize(kMaxValueBytes);
        length = list_into(many.data(), many.size());
        if (length >= 0) list = {many.data(), static_cast<std::size_t>(length)};
    }
    if (length < 0) {
        if (errno == ENOTSUP) return std::vector<Xattr>{};
        return errno_error(path_);
    }

    std::vector<Xattr> xattrs;
    Bytes value;
    for (auto& name : split_names(list)) {
        value.resize(256);
        auto size = get_into(name.c_str(), value.data(), value.size());
        if (size < 0 && errno == ERANGE) {
            value.resize(kMaxValueBytes);
            size = get_into(name.c_str(), value.data(), value.size());
        }
        if (size < 0 && (errno == ENODATA || errno == ENOTSUP)) continue;
        if (size < 0) return errno_error(path_ + " [" + name + "]");
        xattrs.push_back({std::move(name), Bytes{value.begin(), value.begin() + size}});
    }
    return xattrs;
}

Result<void> XattrTarget::set(const Xattr& xattr) const {
    const int result = descriptor_ >= 0
                           ? ::fsetxattr(descriptor_, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0)
                           : ::lsetxattr(place_.c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0);
    if (result == 0) return ok();
    const int failure = errno;
    auto path = path_ + " [" + xattr.name + "]";
    if (failure == ENOTSUP) return Error{Errc::unsupported, std::move(path)};
    return errno_error(path, failure);
}

Result<void> XattrTarget::remove(const std::string& name) const {
    const int result =
        descriptor_ >= 0 ? ::fremovexattr(descriptor_, name.c_str()) : ::lremovexattr(place_.c_str(), name.c_str());
    if (result == 0 || errno == ENODATA || errno == ENOTSUP) return ok();
    return errno_error(path_ + " [" + name + "]");
}

Result<void> XattrTarget::remove_inherited(bool directory) const {
    BASE_CHECK(remove("system.posix_acl_access"));
    return directory ? remove("system.posix_acl_default") : ok();
}

}  // namespace base::host
