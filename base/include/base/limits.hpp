// First values of the limits that hold between peers (docs/formats/wire.md). Checked before anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace base {

constexpr std::size_t kMaxBlockBytes = (1U << 20U) + (64U << 10U);  ///< a sealed block: 1 MiB + 64 KiB
constexpr std::size_t kMaxFrameBytes = (4U << 20U) + (64U << 10U);  ///< header and payload of one message
constexpr std::size_t kMaxHeaderBytes = 256U << 10U;                ///< the Protocol Buffers part of a frame
constexpr std::size_t kMaxPayloadBytes = 4U << 20U;                 ///< the opaque part of a frame
constexpr std::size_t kMaxEndpointBytes = 255;
constexpr std::size_t kMaxFailureDomainBytes = 64;
constexpr std::size_t kMaxNameBytes = 255;  ///< of a directory entry or a volume
constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kMaxStreamsPerPeer = 64;  ///< requests under way with one peer
constexpr std::size_t kMaxInFlightBytesPerPeer = 32U << 20U;
constexpr std::size_t kMaxRosterMembers = 100'000;

}  // namespace base
