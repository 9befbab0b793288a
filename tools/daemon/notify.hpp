// Telling systemd how the daemon does (sd_notify(3)); nothing happens where nobody asked to be told.
#pragma once

#include <string>
#include <string_view>

namespace tools {

/// "READY=1", "STOPPING=1", "STATUS=...". To the socket that NOTIFY_SOCKET names.
void notify_service_manager(const std::string& socket, std::string_view state);

}  // namespace tools
