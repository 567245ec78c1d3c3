/* MD5 and SHA-1, to recognize a value that somebody hashed without a key.
 * Both are broken as hashes; nothing here is protected by them, and libsodium,
 * which does what we protect, rightly lacks them. */
#ifndef SOTTO_POLICY_TOOL_DIGEST_H
#define SOTTO_POLICY_TOOL_DIGEST_H

#include "base/buf.h"

#define MD5_SIZE 16
#define SHA1_SIZE 20

void md5_of(uint8_t out[MD5_SIZE], struct span bytes);   /* RFC 1321 */
void sha1_of(uint8_t out[SHA1_SIZE], struct span bytes); /* RFC 3174 */

#endif
