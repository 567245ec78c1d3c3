/* libsodium's signature and sealed box, replaced by hash tags in fast mode.
 *
 * The four functions have libsodium's names and signatures and stand before
 * the library in the search order. A fast signature is a BLAKE2b-512 of the
 * message keyed with the public key: nobody in the simulation makes one
 * without owning the pair, for nobody in it breaks the rules. The forger signs
 * with a pair of his own. With --real-crypto they pass through. */
#include "world.h"

#include <dlfcn.h>
#include <string.h>

#include <sodium.h>

static void *next_of(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    sim_must(found, name);
    return found;
}

/* A function pointer out of an object pointer, as POSIX wants it done. */
#define REAL(name)                                                             \
    static __typeof__(&name) real;                                             \
    if (!real) {                                                               \
        void *found = next_of(#name);                                          \
        memcpy(&real, &found, sizeof real);                                    \
    }

int crypto_sign_detached(unsigned char *sig, unsigned long long *size,
                         const unsigned char *m, unsigned long long m_size,
                         const unsigned char *sk)
{
    REAL(crypto_sign_detached)
    if (world.real_crypto)
        return real(sig, size, m, m_size, sk);
    if (size)
        *size = crypto_sign_BYTES;
    return crypto_generichash(sig, crypto_sign_BYTES, m, m_size, sk + 32, 32);
}

int crypto_sign_verify_detached(const unsigned char *sig,
                                const unsigned char *m,
                                unsigned long long m_size,
                                const unsigned char *pk)
{
    unsigned char good[crypto_sign_BYTES];

    REAL(crypto_sign_verify_detached)
    if (world.real_crypto)
        return real(sig, m, m_size, pk);
    crypto_generichash(good, sizeof good, m, m_size, pk, 32);
    return memcmp(good, sig, sizeof good) ? -1 : 0;
}

/* random (16), as an ephemeral key begins | tag (32) | message */
#define TAG 16
int crypto_box_seal(unsigned char *c, const unsigned char *m,
                    unsigned long long m_size, const unsigned char *pk)
{
    REAL(crypto_box_seal)
    if (world.real_crypto)
        return real(c, m, m_size, pk);
    randombytes_buf(c, TAG);
    memcpy(c + crypto_box_SEALBYTES, m, m_size);
    return crypto_generichash(c + TAG, 32, m, m_size, pk, 32);
}

int crypto_box_seal_open(unsigned char *m, const unsigned char *c,
                         unsigned long long c_size, const unsigned char *pk,
                         const unsigned char *sk)
{
    unsigned char good[32];

    REAL(crypto_box_seal_open)
    if (world.real_crypto)
        return real(m, c, c_size, pk, sk);
    if (c_size < crypto_box_SEALBYTES)
        return -1;
    crypto_generichash(good, sizeof good, c + crypto_box_SEALBYTES,
                       c_size - crypto_box_SEALBYTES, pk, 32);
    if (memcmp(good, c + TAG, sizeof good))
        return -1;
    memcpy(m, c + crypto_box_SEALBYTES, c_size - crypto_box_SEALBYTES);
    return 0;
}
